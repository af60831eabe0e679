import{A as o,B as r,C as m,D as p}from"/app/chunk-RO26BZW6.js";import"/app/chunk-G746G3LE.js";export{m as LinksScreen,p as downloadZip,r as openFileRequest,o as openShare};
